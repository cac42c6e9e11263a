-- What was entered each month, by filer, in the figures that a monthly statement is compared with?
-- Finance asks; the month is that of the entry summary date, else of the entry date. A periodic statement may shift an entry into the next month.
SELECT
    CAST(date_trunc('month', coalesce(entry_summary_date, entry_date)) AS DATE) AS statement_month,
    left(entry_summary_number, 3) AS filer_code,
    count(*) AS entries,
    sum(total_goods_value_amount) AS goods_value,
    sum(total_duty_amount) AS duty,
    sum(total_paid_mpf_amount) AS mpf,
    sum(total_paid_hmf_amount) AS hmf,
    sum(
        coalesce(total_duty_amount, 0)
        + coalesce(total_paid_mpf_amount, 0)
        + coalesce(total_paid_hmf_amount, 0)
    ) AS duty_and_fees
FROM entry_summaries
GROUP BY
    1, 2
ORDER BY
    statement_month,
    filer_code
