-- What does each entry amount to in each report, and does anything in it differ?
-- The tie-out asks; the sums of the three views for all checks that compare entries, and only what differs is kept.
-- reads: entry_summaries.entry_type_code, entry_summaries.entry_date, entry_summaries.total_goods_value_amount, entry_summaries.total_duty_amount, entry_summaries.total_paid_mpf_amount, entry_lines.line_goods_value_amount, entry_lines.line_duty_amount, entry_lines.line_mpf_amount, tariff_lines.line_tariff_goods_value_amount, tariff_lines.line_tariff_duty_amount
WITH rules AS (
    SELECT
        dates.entry_date,
        mpf.minimum,
        mpf.maximum
    FROM (
        SELECT DISTINCT entry_date
        FROM entry_summaries
    ) AS dates
    INNER JOIN meta.rules_mpf AS mpf
        ON dates.entry_date >= mpf.from_date
        AND (mpf.until_date IS NULL OR dates.entry_date < mpf.until_date)
),
clamped AS (
    SELECT
        sums.*,
        CASE
            WHEN mpf_2 = 0 THEN mpf_2
            WHEN mpf_2 < rules.minimum THEN rules.minimum
            WHEN mpf_2 > rules.maximum THEN rules.maximum
            ELSE mpf_2
        END AS mpf_expected,
        CASE
            WHEN entry_type_code IS NULL THEN 'ES-001 states no entry type'
            WHEN entry_type_code NOT IN ('01', '02', '03', '07') THEN 'entry type is not 01, 02, 03 or 07'
            WHEN sums.entry_date IS NULL THEN 'ES-001 states no entry date'
            WHEN rules.minimum IS NULL THEN 'no rule for this date'
            WHEN mpf_2 IS NULL THEN 'ES-002 states no such amount'
            WHEN mpf_1 IS NULL THEN 'ES-001 states no such amount'
        END AS mpf_not_judged
    FROM work.sums AS sums
    LEFT JOIN rules
        ON rules.entry_date = sums.entry_date
)
SELECT
    *,
    rows_1 <> 1
    OR rows_2 = 0
    OR rows_3 = 0
    OR lines_apart > 0
    OR lines_repeated > 0
    OR (value_1 IS DISTINCT FROM value_2)
    OR (duty_1 IS DISTINCT FROM duty_2)
    OR mpf_not_judged IS NOT NULL
    OR (mpf_expected IS DISTINCT FROM mpf_1) AS kept
FROM clamped
