-- Change events of published values, for clients that follow them. Their order (seq, idx, series, every_s, time) rises
-- with the log. Only payloads that are applied as a whole are answered (`until`), so that no event appears later behind
-- a cursor.

-- name: changes_page
-- Changes after a cursor, oldest first. Empty text, an empty array and `since` at its lowest mean no filter.
SELECT seq, idx, series, every_s, toUnixTimestamp64Nano(time) AS ns, feed, old, new, old_count, new_count, why,
    cause_seq, cause_idx, replay, toUnixTimestamp64Nano(changed_at) AS changed_ns
FROM changes FINAL
WHERE tenant = {tenant:String} AND seq >= {after_seq:UInt64} AND seq <= {until:UInt64}
  AND (seq, idx, series, every_s, toUnixTimestamp64Nano(time))
      > ({after_seq:UInt64}, {after_idx:UInt32}, {after_series:UInt64}, {after_every_s:UInt32}, {after_ns:Int64})
  AND ({feed:String} = '' OR feed = {feed:String})
  AND (empty({series:Array(UInt64)}) OR has({series:Array(UInt64)}, series))
  AND ({kind:String} = '' OR ({kind:String} = 'window') = (every_s > 0))
  AND changed_at >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')
  AND series NOT IN ({hidden:Array(UInt64)})
ORDER BY seq, idx, series, every_s, time
LIMIT {limit:UInt32}

-- name: changes_newest
-- The offset and index of the newest change from `after_seq` on; zeros: there is none.
SELECT max(tuple(seq, idx)).1 AS newest_seq, max(tuple(seq, idx)).2 AS newest_idx
FROM changes
WHERE tenant = {tenant:String} AND seq >= {after_seq:UInt64} AND seq <= {until:UInt64}

-- name: changes_between
-- The newest changes of one partition after a key and up to another one, newest first; `n`: how many there are.
SELECT seq, idx, series, every_s, toUnixTimestamp64Nano(time) AS ns, feed, old, new, old_count, new_count, why,
    cause_seq, cause_idx, replay, toUnixTimestamp64Nano(changed_at) AS changed_ns, count() OVER () AS n
FROM changes FINAL
WHERE tenant = {tenant:String} AND seq >= {after_seq:UInt64} AND seq <= {until_seq:UInt64}
  AND (seq, idx, series, every_s, toUnixTimestamp64Nano(time))
      > ({after_seq:UInt64}, {after_idx:UInt32}, {after_series:UInt64}, {after_every_s:UInt32}, {after_ns:Int64})
  AND (seq, idx) <= ({until_seq:UInt64}, {until_idx:UInt32})
  AND ({feed:String} = '' OR feed = {feed:String})
  AND series NOT IN ({hidden:Array(UInt64)})
ORDER BY seq DESC, idx DESC, series DESC, every_s DESC, time DESC
LIMIT {limit:UInt32}
