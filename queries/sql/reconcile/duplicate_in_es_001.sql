-- Which entries stand more than once in one delivery of ES-001? `actual` is how often.
-- Tie-out asks; totals would be counted twice. Web Intelligence repeats an entry when a column of lines is added to the report.
-- severity: error
-- rule: ES-001 has one row an entry summary [S]
-- needs: entry_summaries
-- evidence: entry_summaries entry
-- work: entries
SELECT
    entry_summary_number,
    CAST(NULL AS INTEGER) AS entry_summary_line_number,
    1 AS expected,
    rows_1 AS actual,
    CAST(NULL AS VARCHAR) AS not_judged
FROM work.entries
WHERE rows_1 > 1
ORDER BY
    entry_summary_number
