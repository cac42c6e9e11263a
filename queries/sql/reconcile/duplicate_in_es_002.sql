-- Which lines stand more than once in one delivery of ES-002? `actual` is how often.
-- Tie-out asks; amounts would be counted twice. A line is repeated when a tariff column is added to the report.
-- severity: error
-- rule: ES-002 has one row a line [S]
-- needs: entry_lines
-- evidence: entry_lines line
-- work: entries, lines
SELECT
    entry_summary_number,
    entry_summary_line_number,
    1 AS expected,
    rows_2 AS actual,
    CAST(NULL AS VARCHAR) AS not_judged
FROM work.lines
WHERE
    rows_2 > 1
    AND entry_summary_line_number IS NOT NULL
ORDER BY
    entry_summary_number,
    entry_summary_line_number
