# Writes and reads with Perl's DBI and DBD::mysql.
#
#   perl dbi.pl HOST PORT DATABASE
use strict;
use warnings;
use utf8;
use DBI;

my ($host, $port, $database) = @ARGV;
print "$DBD::mysql::VERSION\n" if eval { require DBD::mysql };
sub check { my ($got, $want) = @_; die "$got is not $want" unless $got eq $want }
for my $prepare (0, 1) {
    my $db = DBI->connect("DBI:mysql:database=$database;host=$host;port=$port;mysql_server_prepare=$prepare", 'root', '',
        { RaiseError => 1, PrintError => 0, mysql_enable_utf8mb4 => 1, AutoCommit => 0 });
    my $insert = $db->prepare('INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES (?, ?, ?, ?, ?, ?)');
    check($insert->execute('buy', '2026-01-02 03:04:05.678', 'ann', $_, '9007199254740993', $_ eq 'a' ? 'pro ü😀' : undef), 1) for qw(a b a);
    $db->commit;
    my $rows = $db->selectall_arrayref('SELECT insert_id, amount, plan FROM events WHERE event = ? ORDER BY insert_id', {}, 'buy');
    check(scalar(@$rows), 2);
    check(join('|', map { $_ // 'NULL' } map { @$_ } @$rows), 'a|9007199254740993|pro ü😀|b|9007199254740993|NULL');
    eval { $db->do('SELECT * FROM nothing') };
    check($db->err, 1146);
    check($db->state, '42S02');
    check(join(',', sort map { s/.*\.//r =~ s/`//gr } $db->tables(undef, $database, undef, undef)), 'events,events_all');
    check($db->ping, 1);
    $db->disconnect;
}
