-- Which entries are in ES-002 or ES-003 and not in ES-001? `expected` is their goods value there.
-- Tie-out asks; files pulled on different days or with different prompts, or an entry cancelled in between.
-- severity: warning
-- needs: entry_summaries
-- against: entry_lines, tariff_lines
-- evidence: entry_lines entry, tariff_lines entry
WITH lines AS (
    SELECT
        entry_summary_number,
        sum(line_goods_value_amount) AS amount
    FROM entry_lines
    GROUP BY
        entry_summary_number
),
tariffs AS (
    SELECT
        entry_summary_number,
        sum(line_tariff_goods_value_amount) AS amount
    FROM tariff_lines
    GROUP BY
        entry_summary_number
),
finer AS (
    SELECT
        coalesce(lines.entry_summary_number, tariffs.entry_summary_number) AS entry_summary_number,
        coalesce(lines.amount, tariffs.amount) AS amount
    FROM lines
    FULL JOIN tariffs
        ON tariffs.entry_summary_number = lines.entry_summary_number
)
SELECT
    finer.entry_summary_number,
    CAST(NULL AS INTEGER) AS entry_summary_line_number,
    finer.amount AS expected,
    CAST(NULL AS DECIMAL(18, 2)) AS actual,
    CAST(NULL AS VARCHAR) AS not_judged
FROM finer
LEFT ANTI JOIN entry_summaries
    ON entry_summaries.entry_summary_number = finer.entry_summary_number
WHERE finer.entry_summary_number IS NOT NULL
ORDER BY
    entry_summary_number
