-- How often does each manufacturer's product stand under each tariff number of chapters 1-97?
-- Trade compliance asks; one reading of ES-003, and few rows are left of it.
-- reads: tariff_lines.manufacturer_id, tariff_lines.hts_number_full
SELECT
    manufacturer_id,
    hts_number_full,
    count(*) AS row_count
FROM tariff_lines
WHERE
    hts_number_full NOT LIKE '99%'
    AND hts_number_full NOT LIKE '98%'
    AND entry_summary_number IS NOT NULL
GROUP BY
    manufacturer_id,
    hts_number_full
