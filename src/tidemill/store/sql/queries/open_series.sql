-- name: tenant_series_ids
-- The ids of a tenant's series, deleted ones too; at most `most`. Intake counts the series of open feeds with them.
SELECT DISTINCT series
FROM series
WHERE tenant = {tenant:String}
LIMIT {most:UInt64}
