-- Meter data in the shape of the metering API that the feed `meters` reads.

-- name: meterdata
-- Records of meters, one for each instant, measurement and meter, with the values of their registers; oldest first
-- (`sign` 1) or newest first (-1). The registers of a record share its quality; where several records brought them, the
-- quality is that of the newest.
-- Timestamps have three fraction digits, as the source writes them.
SELECT
    concat(replaceOne(substring(toString(p.time), 1, 23), ' ', 'T'), 'Z') AS timestamp,
    s.tags['measurement'] AS measurement,
    s.tags['muid'] AS muid,
    argMax(p.attributes['quality'], (p.seq, p.idx)) AS quality,
    groupArray(toString(s.field)) AS registers,
    groupArray(assumeNotNull(p.value)) AS values
FROM points AS p FINAL
INNER JOIN (
    SELECT series, field, tags, deleted_seq
    FROM series FINAL
    WHERE tenant = {tenant:String} AND feed = {feed:String} AND NOT deleted
      AND series NOT IN ({hidden:Array(UInt64)})
      AND ({muid:String} = '' OR tags['muid'] = {muid:String})
      AND ({measurement:String} = '' OR tags['measurement'] = {measurement:String})
) AS s ON s.series = p.series
WHERE p.tenant = {tenant:String}
  AND p.series IN (
      SELECT series FROM series
      WHERE tenant = {tenant:String} AND feed = {feed:String} AND ({muid:String} = '' OR tags['muid'] = {muid:String})
  )
  AND p.seq > s.deleted_seq
  AND p.time >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND p.time <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  AND isNotNull(p.value)
GROUP BY p.time, s.tags['measurement'], s.tags['muid']
ORDER BY toUnixTimestamp64Nano(p.time) * {sign:Int8}, muid, measurement
LIMIT {limit:UInt32}
