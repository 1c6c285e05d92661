<?php
// Writes and reads with PDO, with and without statements prepared by the server.
//
//   php pdo.php HOST PORT DATABASE
[, $host, $port, $database] = $argv;
ini_set('assert.exception', 1);
function check($got, $want) { if ($got !== $want) { throw new Exception(var_export($got, true) . ' is not ' . var_export($want, true)); } }
echo PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION . "\n";
foreach ([true, false] as $emulate) {
    $db = new PDO("mysql:host=$host;port=$port;dbname=$database;charset=utf8mb4", 'root', '', [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => $emulate, PDO::ATTR_STRINGIFY_FETCHES => false]);
    $insert = $db->prepare('INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES (?, ?, ?, ?, ?, ?)');
    $db->beginTransaction();
    foreach (['a', 'b', 'a'] as $id) {
        $insert->execute(['buy', '2026-01-02 03:04:05.678', 'ann', $id, 9007199254740993, $id === 'a' ? 'pro ü😀' : null]);
        check($insert->rowCount(), 1);
    }
    $db->commit();
    $query = $db->prepare('SELECT time, insert_id, amount, plan FROM events WHERE event = :event ORDER BY insert_id');
    $query->execute(['event' => 'buy']);
    $rows = $query->fetchAll(PDO::FETCH_ASSOC);
    check($rows[0]['time'], '2026-01-02 03:04:05.678000');
    check([count($rows), $rows[0]['amount'], $rows[0]['plan'], $rows[1]['plan']], [2, 9007199254740993, 'pro ü😀', null]);
    try {
        $db->query('SELECT * FROM nothing');
        throw new Exception('no error');
    } catch (PDOException $e) {
        check([$e->getCode(), $e->errorInfo[1]], ['42S02', 1146]);
    }
}
