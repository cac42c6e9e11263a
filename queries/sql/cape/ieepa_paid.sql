-- What did each entry pay under IEEPA numbers within their dates, and what outside of them?
-- Importers and brokers ask before a CAPE declaration: the amount counts, not the number, for exemptions carry zero.
SELECT
    paid_rows.entry_summary_number,
    sum(CASE WHEN paid_rows.is_within THEN paid_rows.amount END) AS paid,
    sum(CASE WHEN NOT paid_rows.is_within THEN paid_rows.amount END) AS outside,
    sum(CASE WHEN paid_rows.is_within IS NULL THEN paid_rows.amount END) AS undated,
    count(*) AS ieepa_rows,
    sum(CASE WHEN coalesce(paid_rows.amount, 0) = 0 THEN 1 ELSE 0 END) AS ieepa_rows_without_amount
FROM (
    SELECT
        tariff_lines.entry_summary_number,
        tariff_lines.line_tariff_duty_amount AS amount,
        coalesce(tariff_lines.entry_date, headers.entry_date) >= duties.from_date
            AND coalesce(tariff_lines.entry_date, headers.entry_date) < duties.until_date AS is_within
    FROM tariff_lines
    INNER JOIN (VALUES {duties}) AS duties (prefix, from_date, until_date)
        ON substr(replace(tariff_lines.hts_number_full, '.', ''), 1, 6) = duties.prefix
    LEFT JOIN (
        SELECT
            entry_summary_number,
            max(entry_date) AS entry_date
        FROM entry_summaries
        GROUP BY
            entry_summary_number
    ) AS headers
        ON tariff_lines.entry_summary_number = headers.entry_summary_number
) AS paid_rows
GROUP BY
    paid_rows.entry_summary_number
