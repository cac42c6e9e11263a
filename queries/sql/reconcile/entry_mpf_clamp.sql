-- Is the merchandise processing fee paid on each entry the sum of its lines' fees, held between the minimum and maximum of its date?
-- Finance asks; amounts by entry date in meta.rules_mpf. Formal types 01, 02, 03, 07 only: informal (11, 12) and weekly zone (06) entries follow other rules.
-- severity: error
-- rule: 19 CFR 24.23(b)(1)(i), meta.rules_mpf [S]
-- needs: entry_lines.line_mpf_amount, entry_summaries.total_paid_mpf_amount, entry_summaries.entry_date, entry_summaries.entry_type_code
-- evidence: entry_lines entry, entry_summaries entry
-- work: entries
SELECT
    entry_summary_number,
    CAST(NULL AS INTEGER) AS entry_summary_line_number,
    mpf_expected AS expected,
    mpf_1 AS actual,
    mpf_not_judged AS not_judged
FROM work.entries
WHERE
    rows_1 > 0
    AND rows_2 > 0
    AND (mpf_not_judged IS NOT NULL OR mpf_expected IS DISTINCT FROM mpf_1)
ORDER BY
    entry_summary_number
