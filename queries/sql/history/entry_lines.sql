-- Which entry summary line rows hold now?
-- Everyone asks; an entry's rows come whole from the latest delivery that holds it, since a restatement can drop rows.
WITH latest AS (
    SELECT
        entry_summary_number,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) AS _delivery_id
    FROM es_002
    GROUP BY
        entry_summary_number
)
SELECT
    es_002.*
FROM latest
RIGHT SEMI JOIN es_002
    ON latest.entry_summary_number = es_002.entry_summary_number
    AND latest._delivery_id = es_002._delivery_id
