-- The fence between mills that believe that they own the same partition of the log: every statement by which a mill
-- writes checks that the mill still owns the partition. `owner` is the number that the mill drew at its start.

-- fragment: owned
-- Whether the mill owns the partition. Part of every DELETE of a mill: a mill that lost the partition removes nothing.
dictGet('current_owners', 'owner', {fence_partition:UInt64}) = {fence_owner:UInt64}

-- fragment: owned_or_refused
-- The same for every INSERT of a mill: that of a mill that lost the partition is refused (code 395).
throwIf(dictGet('current_owners', 'owner', {fence_partition:UInt64}) != {fence_owner:UInt64}, 'partition lost') = 0

-- name: fence_claim
-- Claims a partition with an epoch above all earlier ones.
INSERT INTO owners
SELECT {fence_partition:UInt64}, max(epoch) + 1, {fence_owner:UInt64}, fromUnixTimestamp64Nano({now:Int64}, 'UTC')
FROM owners WHERE partition = {fence_partition:UInt64}

-- name: fence_reload
-- Loads the owners that the table has now; from then on writes are checked against them.
SYSTEM RELOAD DICTIONARY current_owners

-- name: fence_state
-- The owner and the epoch of a partition, and how many writes are under way that were admitted for an earlier owner:
-- statements, and mutations that an engine continues after its restart (a mutation that failed is not admitted again).
SELECT dictGet('current_owners', 'owner', {fence_partition:UInt64}) AS owner,
    dictGet('current_owners', 'epoch', {fence_partition:UInt64}) AS epoch,
    (SELECT count() FROM system.processes WHERE query_kind != 'Select' AND match(query, {fenced:String}))
        + (SELECT count() FROM system.mutations
            WHERE database = currentDatabase() AND NOT is_done AND latest_fail_reason = ''
                AND match(command, {fenced:String})) AS under_way

-- name: fence_owner
-- The owner of a partition.
SELECT dictGet('current_owners', 'owner', {fence_partition:UInt64}) AS owner

-- name: fence_columns
-- The columns of this store's tables and their types.
SELECT table, name, type FROM system.columns WHERE database = currentDatabase()
