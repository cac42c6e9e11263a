-- How much was paid under each family of chapter 99, by month of entry?
-- Finance asks; a number that carries no duty is an exemption and is counted apart. Families are those of meta.rules_families.
WITH families AS (
    SELECT
        prefix,
        max(family) AS family
    FROM meta.rules_families
    GROUP BY
        prefix
)
SELECT
    coalesce(families.family, 'not known') AS family,
    left(rows.hts_number_full, 6) AS prefix,
    CAST(date_trunc('month', rows.entry_date) AS DATE) AS entry_month,
    sum(CASE WHEN rows.line_tariff_duty_amount > 0 THEN 1 ELSE 0 END) AS rows_with_duty,
    sum(CASE WHEN rows.line_tariff_duty_amount > 0 THEN 0 ELSE 1 END) AS rows_without_duty,
    sum(rows.line_tariff_duty_amount) AS duty
FROM tariff_lines AS rows
LEFT JOIN families
    ON families.prefix = left(rows.hts_number_full, 6)
WHERE rows.hts_number_full LIKE '99%'
GROUP BY
    1, 2, 3
ORDER BY
    entry_month,
    prefix
