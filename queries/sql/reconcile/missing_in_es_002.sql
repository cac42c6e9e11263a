-- Which entries of ES-001 or ES-003 are not in ES-002, and which lines of ES-003 lack in an entry that is? `expected` is the goods value that ES-003, else ES-001, states.
-- Tie-out asks; files pulled on different days or with different prompts, or a line dropped by a restatement.
-- severity: warning
-- needs: entry_lines
-- against: entry_summaries, tariff_lines
-- evidence: entry_summaries entry, tariff_lines line
WITH headers AS (
    SELECT
        entry_summary_number,
        sum(total_goods_value_amount) AS amount
    FROM entry_summaries
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
others AS (
    SELECT
        coalesce(tariffs.entry_summary_number, headers.entry_summary_number) AS entry_summary_number,
        coalesce(tariffs.amount, headers.amount) AS expected
    FROM headers
    FULL JOIN tariffs
        ON tariffs.entry_summary_number = headers.entry_summary_number
),
tariff_sums AS (
    SELECT
        entry_summary_number,
        entry_summary_line_number,
        sum(line_tariff_goods_value_amount) AS amount
    FROM tariff_lines
    GROUP BY
        entry_summary_number,
        entry_summary_line_number
),
missing_entries AS (
    SELECT
        others.entry_summary_number,
        CAST(NULL AS INTEGER) AS entry_summary_line_number,
        others.expected
    FROM others
    LEFT ANTI JOIN entry_lines
        ON entry_lines.entry_summary_number = others.entry_summary_number
),
missing_lines AS (
    SELECT
        tariff_sums.entry_summary_number,
        tariff_sums.entry_summary_line_number,
        tariff_sums.amount AS expected
    FROM tariff_sums
    LEFT SEMI JOIN entry_lines
        ON entry_lines.entry_summary_number = tariff_sums.entry_summary_number
    WHERE NOT EXISTS (
        SELECT 1
        FROM entry_lines
        WHERE
            entry_lines.entry_summary_number = tariff_sums.entry_summary_number
            AND entry_lines.entry_summary_line_number = tariff_sums.entry_summary_line_number
    )
)
SELECT
    entry_summary_number,
    entry_summary_line_number,
    expected,
    CAST(NULL AS DECIMAL(18, 2)) AS actual,
    CAST(NULL AS VARCHAR) AS not_judged
FROM (
    SELECT * FROM missing_entries
    UNION ALL
    SELECT * FROM missing_lines
) AS missing
WHERE entry_summary_number IS NOT NULL
ORDER BY
    entry_summary_number,
    entry_summary_line_number
