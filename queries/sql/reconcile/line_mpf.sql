-- Is each line's merchandise processing fee its value times the rate, rounded half up to the cent?
-- Finance asks; no bound holds for a line, so each is exact. A line without the fee may be exempt and is not judged: some trade agreements waive it.
-- severity: error
-- rule: 19 CFR 24.23(b)(1)(i)(A), meta.rules_rates [V]
-- needs: entry_lines.line_mpf_amount, entry_lines.line_goods_value_amount
-- any: entry_lines.entry_date, entry_summaries.entry_date
-- evidence: entry_lines line
-- work: fees
SELECT
    CASE WHEN mpf_off THEN entry_summary_number END AS entry_summary_number,
    CASE WHEN mpf_off THEN entry_summary_line_number END AS entry_summary_line_number,
    mpf_expected AS expected,
    mpf AS actual,
    mpf_not_judged AS not_judged,
    sum(unit_count) AS unit_count
FROM work.fees
GROUP BY
    1, 2, 3, 4, 5
ORDER BY
    entry_summary_number,
    entry_summary_line_number
