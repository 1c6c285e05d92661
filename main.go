// Arbor is an event database that never counts an event twice and never loses
// one. This package is its wiring: each subcommand is a page that opens what it
// needs and puts it together; everything else lives in the rooms below.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"arbor/cluster/consensus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintln(os.Stderr, "arbor:", err)
		}
		os.Exit(1)
	}
}

// errReported ends the process with status 1 when the command has already said why.
var errReported = errors.New("reported")

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "arbor",
		Short:   "An event database that never counts an event twice and never loses one",
		Version: version(),
		Long: `Arbor takes events from analytics SDKs over HTTP and from programs over MySQL,
keeps every copy it was sent, and shows each event once.

Start a server with "arbor serve", or see it work with "arbor demo".
Every flag can also be set by an environment variable: --mysql by ARBOR_MYSQL,
--log-level by ARBOR_LOG_LEVEL, and so on. A flag on the command line wins.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return flagsFromEnvironment(cmd.Flags()) },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(newServe(), newImport(), newExport(), newInspect(), newDemo(), newSiphon(), newReplay(), newBackup(), newRestore(), newVerifyBackup(), newCollectBackups(), newCluster(), newToken(), newMetadata(), newVersion())
	return root
}

// flagsFromEnvironment sets the flags that were not given from ARBOR_… variables.
func flagsFromEnvironment(flags *pflag.FlagSet) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "ARBOR_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if f.Changed || !ok || f.Name == "help" || f.Name == "version" || failed != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			failed = fmt.Errorf("environment variable %s=%q: %w", name, value, err)
		}
	})
	return failed
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(cmd.OutOrStdout(), version())
			return nil
		},
	}
}

// version is the module's version and the commit it was built from, where known.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "arbor (unknown)"
	}
	return versionOf(info)
}

// versionOf names the commit once: the version of a build between two tags, such as
// v1.2.1-0.20260102030405-0123456789ab+dirty, holds it already.
func versionOf(info *debug.BuildInfo) string {
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && !strings.Contains(v, s.Value[:12]) {
			v += " " + s.Value[:12]
		}
	}
	return "arbor " + v + " " + info.GoVersion
}

// release is the version as other members are told it, who take no more than
// consensus.MaxReleaseBytes: a compiler built by hand can have a long name.
func release() string {
	v := version()
	return v[:min(len(v), consensus.MaxReleaseBytes)]
}
