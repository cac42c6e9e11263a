-- What should each line's fees be, and are they?
-- Finance asks; one reading of ES-002 for both fees. Lines that are right, and those that cannot be judged, are counted, not listed.
-- reads: entry_lines.line_goods_value_amount, entry_lines.line_mpf_amount, entry_lines.line_hmf_amount, entry_lines.line_spi_code, entry_lines.entry_date, entry_lines.importation_date, entry_summaries.entry_date, entry_summaries.importation_date
WITH headers AS (
    SELECT
        entry_summary_number,
        max(entry_date) AS entry_date,
        max(importation_date) AS importation_date
    FROM entry_summaries
    WHERE
        entry_summary_number IS NOT NULL -- span: entry_summary_number
    GROUP BY
        entry_summary_number
),
lines AS (
    SELECT
        entry_lines.entry_summary_number,
        entry_lines.entry_summary_line_number,
        entry_lines.line_goods_value_amount AS goods_value,
        entry_lines.line_mpf_amount AS mpf,
        entry_lines.line_hmf_amount AS hmf,
        entry_lines.line_spi_code,
        coalesce(entry_lines.entry_date, headers.entry_date) AS entry_date,
        coalesce(
            entry_lines.importation_date,
            headers.importation_date,
            entry_lines.entry_date,
            headers.entry_date
        ) AS importation_date
    -- The headers first: of the two they are what a join is built on.
    FROM headers
    RIGHT JOIN entry_lines
        ON headers.entry_summary_number = entry_lines.entry_summary_number
    WHERE
        entry_lines.entry_summary_number IS NOT NULL -- span: entry_lines.entry_summary_number
),
rated AS (
    SELECT
        lines.*,
        round_half_up_to_cents(goods_value * mpf_rule.rate) AS mpf_expected,
        round_half_up_to_cents(goods_value * hmf_rule.rate) AS hmf_expected
    FROM lines
    LEFT JOIN meta.rules_rates AS mpf_rule
        ON mpf_rule.fee = 'MPF'
        AND lines.entry_date >= mpf_rule.from_date
        AND (mpf_rule.until_date IS NULL OR lines.entry_date < mpf_rule.until_date)
    LEFT JOIN meta.rules_rates AS hmf_rule
        ON hmf_rule.fee = 'HMF'
        AND lines.importation_date >= hmf_rule.from_date
        AND (hmf_rule.until_date IS NULL OR lines.importation_date < hmf_rule.until_date)
),
judged AS (
    SELECT
        *,
        CASE
            WHEN mpf IS NULL THEN 'ES-002 states no such amount'
            WHEN goods_value IS NULL THEN 'ES-002 states no goods value'
            WHEN mpf = 0 AND line_spi_code IS NOT NULL THEN 'no fee charged, and a special program is claimed'
            WHEN mpf = 0 THEN 'no fee charged: exempt, informal or of another entry type'
            WHEN entry_date IS NULL THEN 'neither ES-002 nor ES-001 states an entry date'
            WHEN mpf_expected IS NULL THEN 'no rule for this date'
        END AS mpf_not_judged,
        CASE
            WHEN hmf IS NULL THEN 'ES-002 states no such amount'
            WHEN goods_value IS NULL THEN 'ES-002 states no goods value'
            WHEN hmf = 0 THEN 'no fee charged: not ocean cargo, or exempt'
            WHEN importation_date IS NULL THEN 'neither ES-002 nor ES-001 states an entry date'
            WHEN hmf_expected IS NULL THEN 'no rule for this date'
        END AS hmf_not_judged
    FROM rated
),
told AS (
    SELECT
        *,
        coalesce(mpf_not_judged IS NULL AND mpf_expected <> mpf, FALSE) AS mpf_off,
        coalesce(hmf_not_judged IS NULL AND hmf_expected <> hmf, FALSE) AS hmf_off
    FROM judged
)
SELECT
    CASE WHEN mpf_off OR hmf_off THEN entry_summary_number END AS entry_summary_number,
    CASE WHEN mpf_off OR hmf_off THEN entry_summary_line_number END AS entry_summary_line_number,
    mpf_off,
    hmf_off,
    CASE WHEN mpf_off THEN mpf_expected END AS mpf_expected,
    CASE WHEN mpf_off THEN mpf END AS mpf,
    mpf_not_judged,
    CASE WHEN hmf_off THEN hmf_expected END AS hmf_expected,
    CASE WHEN hmf_off THEN hmf END AS hmf,
    hmf_not_judged,
    count(*) AS unit_count
FROM told
GROUP BY
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10
