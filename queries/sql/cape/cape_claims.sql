-- What does CAPE say of each claimed entry now?
-- Whoever claims refunds asks; the rows of an entry under a claim come whole from the latest delivery that holds them.
WITH latest AS (
    SELECT
        entry_summary_number,
        coalesce(claim_number, '') AS claim_number,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) AS _delivery_id
    FROM cape_claim_details
    GROUP BY
        entry_summary_number,
        coalesce(claim_number, '')
)
SELECT
    cape_claim_details.*
FROM latest
RIGHT SEMI JOIN cape_claim_details
    ON latest.entry_summary_number = cape_claim_details.entry_summary_number
    AND latest.claim_number = coalesce(cape_claim_details.claim_number, '')
    AND latest._delivery_id = cape_claim_details._delivery_id
