-- Which entries of ES-001 or ES-003 are not in ES-002, and which lines of ES-003 lack in an entry that is? `expected` is the goods value that ES-003, else ES-001, states.
-- Tie-out asks; files pulled on different days or with different prompts, or a line dropped by a restatement.
-- severity: warning
-- rule: the three reports show the same entry summaries and lines [S]
-- needs: entry_lines
-- against: entry_summaries, tariff_lines
-- evidence: entry_summaries entry, tariff_lines line
-- work: entries, lines
WITH missing AS (
    SELECT
        entry_summary_number,
        CAST(NULL AS INTEGER) AS entry_summary_line_number,
        coalesce(value_3, value_1) AS expected
    FROM work.entries
    WHERE rows_2 = 0
    UNION ALL
    SELECT
        lines.entry_summary_number,
        lines.entry_summary_line_number,
        lines.value_3 AS expected
    FROM work.lines AS lines
    INNER JOIN work.entries AS entries
        ON entries.entry_summary_number = lines.entry_summary_number
    WHERE
        entries.rows_2 > 0
        AND lines.rows_3 > 0
        AND (lines.rows_2 = 0 OR lines.entry_summary_line_number IS NULL)
)
SELECT
    entry_summary_number,
    entry_summary_line_number,
    expected,
    CAST(NULL AS DECIMAL(18, 2)) AS actual,
    CAST(NULL AS VARCHAR) AS not_judged
FROM missing
ORDER BY
    entry_summary_number,
    entry_summary_line_number
