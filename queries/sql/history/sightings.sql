-- When did each report first and last hold each entry, and in which deliveries?
-- Auditors ask before they ask what changed; an entry last seen long ago may have vanished.
SELECT
    'ES-001' AS report,
    -- No key is blank: nullif sheds the column's field id, which differs from table to table and which a union trips over.
    nullif(entry_summary_number, '') AS entry_summary_number,
    min(_as_of) AS first_seen_as_of,
    nullif(first_value(_delivery_id ORDER BY _as_of ASC, _delivery_id ASC), '') AS first_delivery_id,
    max(_as_of) AS last_seen_as_of,
    nullif(first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC), '') AS last_delivery_id
FROM es_001
GROUP BY
    entry_summary_number
UNION ALL
SELECT
    'ES-002' AS report,
    nullif(entry_summary_number, '') AS entry_summary_number,
    min(_as_of) AS first_seen_as_of,
    nullif(first_value(_delivery_id ORDER BY _as_of ASC, _delivery_id ASC), '') AS first_delivery_id,
    max(_as_of) AS last_seen_as_of,
    nullif(first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC), '') AS last_delivery_id
FROM es_002
GROUP BY
    entry_summary_number
UNION ALL
SELECT
    'ES-003' AS report,
    nullif(entry_summary_number, '') AS entry_summary_number,
    min(_as_of) AS first_seen_as_of,
    nullif(first_value(_delivery_id ORDER BY _as_of ASC, _delivery_id ASC), '') AS first_delivery_id,
    max(_as_of) AS last_seen_as_of,
    nullif(first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC), '') AS last_delivery_id
FROM es_003
GROUP BY
    entry_summary_number
