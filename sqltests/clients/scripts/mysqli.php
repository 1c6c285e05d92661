<?php
// Writes and reads with mysqli: text, prepared, several statements at once.
//
//   php mysqli.php HOST PORT DATABASE
[, $host, $port, $database] = $argv;
function check($got, $want) { if ($got !== $want) { throw new Exception(var_export($got, true) . ' is not ' . var_export($want, true)); } }
echo PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION . "\n";
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$db = new mysqli($host, 'root', '', $database, (int)$port);
$db->set_charset('utf8mb4');
$insert = $db->prepare('INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES (?, ?, ?, ?, ?, ?)');
foreach (['a', 'b', 'a'] as $id) {
    [$event, $time, $user, $amount, $plan] = ['buy', '2026-01-02 03:04:05.678', 'ann', 9007199254740993, $id === 'a' ? 'pro ü😀' : null];
    $insert->bind_param('ssssis', $event, $time, $user, $id, $amount, $plan);
    $insert->execute();
    check($insert->affected_rows, 1);
}
$query = $db->prepare('SELECT insert_id, amount, plan FROM events WHERE event = ? ORDER BY insert_id');
$query->bind_param('s', $event);
$query->execute();
check($query->get_result()->fetch_all(), [['a', 9007199254740993, 'pro ü😀'], ['b', 9007199254740993, null]]);
check($db->query('SELECT COUNT(*) FROM events')->fetch_row(), ['2']);
check($db->real_escape_string("a'b"), "a\\'b");
$db->multi_query('SELECT 1; SELECT 2');
$seen = [];
do { $seen[] = $db->store_result()->fetch_row()[0]; } while ($db->next_result());
check($seen, ['1', '2']);
try {
    $db->query('SELECT * FROM nothing');
    throw new Exception('no error');
} catch (mysqli_sql_exception $e) {
    check([$e->getCode(), $db->sqlstate], [1146, '42S02']);
}
$db->query('SET @mine = 1');
check($db->change_user('root', '', $database), true);
check($db->query('SELECT @mine, DATABASE()')->fetch_row(), [null, $database]);
check($db->ping(), true);
check(is_string($db->stat()), true);
