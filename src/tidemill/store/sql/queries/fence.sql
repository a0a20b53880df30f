-- The fence between mills that believe that they own the same partition of the log: every statement of a mill that
-- writes asks whether the partition is still that mill's. `owner` is the number that the mill drew at its start.

-- fragment: owned
-- Whether the partition is still the mill's. Part of every DELETE of a mill: one that has lost it removes nothing.
dictGet('current_owners', 'owner', {fence_partition:UInt64}) = {fence_owner:UInt64}

-- fragment: owned_or_refused
-- The same in every INSERT of a mill: one that has lost the partition is refused (code 395).
throwIf(dictGet('current_owners', 'owner', {fence_partition:UInt64}) != {fence_owner:UInt64}, 'partition lost') = 0

-- name: fence_claim
-- Claim a partition: an epoch above all that there were.
INSERT INTO owners
SELECT {fence_partition:UInt64}, max(epoch) + 1, {fence_owner:UInt64}, fromUnixTimestamp64Nano({now:Int64}, 'UTC')
FROM owners WHERE partition = {fence_partition:UInt64}

-- name: fence_reload
-- From here on writes are refused by the owners that the table has now.
SYSTEM RELOAD DICTIONARY current_owners

-- name: fence_state
-- Whose a partition is, and how many writes are under way that were let through for an owner of it before: statements,
-- and deletions that an engine goes on with after its restart (one that fails will not get through any more).
SELECT dictGet('current_owners', 'owner', {fence_partition:UInt64}) AS owner,
    dictGet('current_owners', 'epoch', {fence_partition:UInt64}) AS epoch,
    (SELECT count() FROM system.processes WHERE query_kind != 'Select' AND match(query, {fenced:String}))
        + (SELECT count() FROM system.mutations
            WHERE database = currentDatabase() AND NOT is_done AND latest_fail_reason = ''
                AND match(command, {fenced:String})) AS under_way

-- name: fence_owner
-- Whose a partition is.
SELECT dictGet('current_owners', 'owner', {fence_partition:UInt64}) AS owner

-- name: fence_columns
-- The columns of this store's tables and their types.
SELECT table, name, type FROM system.columns WHERE database = currentDatabase()
