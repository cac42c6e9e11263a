-- Which products were classified under more than one tariff number, when, where and by whom?
-- Trade compliance asks; a product is a manufacturer and the first digits of the tariff number.
-- param: digits integer = 6; how much of the tariff number makes a product, with the manufacturer
WITH numbers AS (
    SELECT
        manufacturer_id,
        left(hts_number_full, $digits) AS product,
        hts_number_full,
        count(*) AS row_count,
        count(DISTINCT entry_summary_number) AS entries,
        min(entry_date) AS first_entry_date,
        max(entry_date) AS last_entry_date,
        array_to_string(array_sort(array_agg(DISTINCT port_of_entry_code)), ' ') AS ports,
        array_to_string(array_sort(array_agg(DISTINCT left(entry_summary_number, 3))), ' ') AS filers
    FROM tariff_lines
    WHERE
        manufacturer_id IS NOT NULL
        AND hts_number_full NOT LIKE '99%'
        AND hts_number_full NOT LIKE '98%'
    GROUP BY
        1, 2, 3
),
counted AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY manufacturer_id, product) AS numbers_of_product
    FROM numbers
)
SELECT
    manufacturer_id,
    product,
    hts_number_full,
    row_count,
    entries,
    first_entry_date,
    last_entry_date,
    ports,
    filers
FROM counted
WHERE numbers_of_product > 1
ORDER BY
    manufacturer_id,
    product,
    row_count DESC,
    hts_number_full
