-- Which entries are in ES-002 or ES-003 and not in ES-001? `expected` is their goods value there.
-- Tie-out asks; files pulled on different days or with different prompts, or an entry cancelled in between.
-- severity: warning
-- rule: the three reports show the same entry summaries [S]
-- needs: entry_summaries
-- against: entry_lines, tariff_lines
-- evidence: entry_lines entry, tariff_lines entry
-- work: entries
SELECT
    entry_summary_number,
    CAST(NULL AS INTEGER) AS entry_summary_line_number,
    coalesce(value_2, value_3) AS expected,
    CAST(NULL AS DECIMAL(18, 2)) AS actual,
    CAST(NULL AS VARCHAR) AS not_judged
FROM work.entries
WHERE rows_1 = 0
ORDER BY
    entry_summary_number
