-- Does each entry's total goods value in ES-001 equal the sum of its lines in ES-002?
-- Finance and broker review ask; the header and the lines are one entry summary (19 CFR 142.11).
-- severity: error
-- needs: entry_lines.line_goods_value_amount, entry_summaries.total_goods_value_amount
-- evidence: entry_lines entry, entry_summaries entry
WITH finer AS (
    SELECT
        entry_summary_number,
        sum(line_goods_value_amount) AS amount
    FROM entry_lines
    GROUP BY
        entry_summary_number
),
coarser AS (
    SELECT
        entry_summary_number,
        sum(total_goods_value_amount) AS amount
    FROM entry_summaries
    GROUP BY
        entry_summary_number
)
SELECT
    finer.entry_summary_number,
    CAST(NULL AS INTEGER) AS entry_summary_line_number,
    finer.amount AS expected,
    coarser.amount AS actual,
    CASE
        WHEN finer.amount IS NULL THEN 'ES-002 states no such amount'
        WHEN coarser.amount IS NULL THEN 'ES-001 states no such amount'
    END AS not_judged
FROM finer
INNER JOIN coarser
    ON finer.entry_summary_number = coarser.entry_summary_number
WHERE finer.amount IS DISTINCT FROM coarser.amount
ORDER BY
    entry_summary_number
