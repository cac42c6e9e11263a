-- Through which ports, how much, and since when?
-- Logistics and broker review ask; ports are Schedule D codes.
SELECT
    port_of_entry_code,
    count(DISTINCT left(entry_summary_number, 3)) AS filers,
    count(*) AS entries,
    min(entry_date) AS first_entry_date,
    max(entry_date) AS last_entry_date,
    sum(total_goods_value_amount) AS goods_value,
    sum(total_duty_amount) AS duty,
    sum(total_paid_mpf_amount) AS mpf,
    sum(total_paid_hmf_amount) AS hmf
FROM entry_summaries
GROUP BY
    port_of_entry_code
ORDER BY
    goods_value DESC,
    port_of_entry_code
