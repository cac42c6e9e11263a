-- Which entries have an entry type that is not among the known ones?
-- Broker review asks; a code cut short or mistyped sends the entry past every rule that goes by type.
-- severity: warning
-- rule: CATAIR appendix B, meta.rules_entry_types [G]
-- needs: entry_summaries.entry_type_code
-- reads: entry_summaries.entry_date
-- evidence: entry_summaries entry
SELECT
    headers.entry_summary_number,
    CAST(NULL AS INTEGER) AS entry_summary_line_number,
    CAST(NULL AS VARCHAR) AS expected,
    headers.entry_type_code AS actual,
    CASE WHEN headers.entry_type_code IS NULL THEN 'ES-001 states no entry type' END AS not_judged
FROM entry_summaries AS headers
LEFT JOIN meta.rules_entry_types AS rules
    ON rules.code = headers.entry_type_code
    AND (rules.from_date IS NULL OR headers.entry_date IS NULL OR headers.entry_date >= rules.from_date)
    AND (rules.until_date IS NULL OR headers.entry_date IS NULL OR headers.entry_date < rules.until_date)
WHERE
    rules.code IS NULL
    AND headers.entry_summary_number IS NOT NULL
ORDER BY
    entry_summary_number
