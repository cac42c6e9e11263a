-- Does each line's duty in ES-002 equal the sum of its tariff rows in ES-003?
-- Finance and broker review ask; a line's duty is that of all its tariff ordinals together, chapter 99 included.
-- severity: error
-- needs: tariff_lines.line_tariff_duty_amount, entry_lines.line_duty_amount
-- evidence: tariff_lines line, entry_lines line
WITH finer AS (
    SELECT
        entry_summary_number,
        entry_summary_line_number,
        sum(line_tariff_duty_amount) AS amount
    FROM tariff_lines
    GROUP BY
        entry_summary_number,
        entry_summary_line_number
),
coarser AS (
    SELECT
        entry_summary_number,
        entry_summary_line_number,
        sum(line_duty_amount) AS amount
    FROM entry_lines
    GROUP BY
        entry_summary_number,
        entry_summary_line_number
)
SELECT
    finer.entry_summary_number,
    finer.entry_summary_line_number AS entry_summary_line_number,
    finer.amount AS expected,
    coarser.amount AS actual,
    CASE
        WHEN finer.amount IS NULL THEN 'ES-003 states no such amount'
        WHEN coarser.amount IS NULL THEN 'ES-002 states no such amount'
    END AS not_judged
FROM finer
INNER JOIN coarser
    ON finer.entry_summary_number = coarser.entry_summary_number
    AND finer.entry_summary_line_number = coarser.entry_summary_line_number
WHERE finer.amount IS DISTINCT FROM coarser.amount
ORDER BY
    entry_summary_number,
    entry_summary_line_number
