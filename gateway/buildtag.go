package gateway

import _ "arbor/gateway/build_with_make_or_add__tags_gms_pure_go" // refuses a build without the tag, saying how
