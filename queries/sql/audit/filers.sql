-- Who filed, how much, and since when?
-- Broker review asks; the filer is the first three characters of the entry number.
SELECT
    left(entry_summary_number, 3) AS filer_code,
    count(*) AS entries,
    min(entry_date) AS first_entry_date,
    max(entry_date) AS last_entry_date,
    sum(total_goods_value_amount) AS goods_value,
    sum(total_duty_amount) AS duty,
    sum(total_paid_mpf_amount) AS mpf,
    sum(total_paid_hmf_amount) AS hmf
FROM entry_summaries
GROUP BY
    1
ORDER BY
    goods_value DESC,
    filer_code
