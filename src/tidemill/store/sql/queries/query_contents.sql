-- What there is of a feed, beside its points.

-- name: feed_contents
-- How many series, receipts (of payloads with bytes) and rejected records a feed has. A deletion is no payload of it.
SELECT
    (SELECT count() FROM series FINAL WHERE tenant = {tenant:String} AND feed = {feed:String} AND NOT deleted) AS series,
    (SELECT count() FROM payloads FINAL
        WHERE tenant = {tenant:String} AND feed = {feed:String} AND state != 'deleted' AND format != 'deletion')
        AS receipts,
    (SELECT count() FROM rejections FINAL
        WHERE tenant = {tenant:String} AND feed = {feed:String} AND recovered_by = '') AS rejections
