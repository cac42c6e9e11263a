-- Is each line's harbor maintenance fee its value times the rate, rounded half up to the cent?
-- Finance asks; ocean cargo only, so a line without the fee is not judged. The rate is that of the importation date, else of the entry date.
-- severity: error
-- rule: 19 CFR 24.24, meta.rules_rates [V]
-- needs: entry_lines.line_hmf_amount, entry_lines.line_goods_value_amount
-- any: entry_lines.entry_date, entry_summaries.entry_date
-- evidence: entry_lines line
-- work: fees
SELECT
    CASE WHEN hmf_off THEN entry_summary_number END AS entry_summary_number,
    CASE WHEN hmf_off THEN entry_summary_line_number END AS entry_summary_line_number,
    hmf_expected AS expected,
    hmf AS actual,
    hmf_not_judged AS not_judged,
    sum(unit_count) AS unit_count
FROM work.fees
GROUP BY
    1, 2, 3, 4, 5
ORDER BY
    entry_summary_number,
    entry_summary_line_number
