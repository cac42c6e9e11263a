-- Which tariff line rows hold now?
-- Everyone asks; an entry's rows come whole from the latest delivery that holds it, since a restatement can drop rows.
WITH held AS (
    SELECT
        entry_summary_number,
        _delivery_id,
        max(_as_of) AS _as_of
    FROM es_003
    GROUP BY
        entry_summary_number,
        _delivery_id
),
latest AS (
    SELECT
        entry_summary_number,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) AS _delivery_id
    FROM held
    GROUP BY
        entry_summary_number
)
SELECT
    es_003.*
FROM es_003
LEFT SEMI JOIN latest
    ON es_003.entry_summary_number = latest.entry_summary_number
    AND es_003._delivery_id = latest._delivery_id
