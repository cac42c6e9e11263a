-- Which lines have tariff numbers out of order, too many of them, or value where none belongs?
-- Broker review asks; one reading of ES-003 for all checks of the stack, and only lines with something amiss are kept.
-- reads: tariff_lines.tariff_ordinal_number, tariff_lines.hts_number_full, tariff_lines.line_tariff_goods_value_amount, tariff_lines.entry_date
-- Ordinals are added up as powers of two: n of them make 2 + 4 + ... + 2^n exactly when they are 1 to n, each once.
WITH stacks AS (
    SELECT
        entry_summary_number,
        entry_summary_line_number,
        count(*) AS row_count,
        max(entry_date) AS entry_date,
        min(tariff_ordinal_number) AS ordinal_min,
        max(tariff_ordinal_number) AS ordinal_max,
        sum(CASE WHEN tariff_ordinal_number BETWEEN 0 AND 40 THEN 1 << tariff_ordinal_number END) AS ordinals_sum,
        bit_or(CASE WHEN tariff_ordinal_number BETWEEN 0 AND 40 THEN 1 << tariff_ordinal_number END) AS ordinals_set,
        sum(CASE WHEN hts_number_full LIKE '99%' THEN line_tariff_goods_value_amount END) AS additional_value,
        sum(CASE WHEN hts_number_full LIKE '99%' AND line_tariff_goods_value_amount <> 0 THEN 1 ELSE 0 END) AS additional_values,
        max(CASE WHEN hts_number_full LIKE '99%' THEN tariff_ordinal_number END) AS additional_ordinal_max,
        min(
            CASE
                WHEN hts_number_full NOT LIKE '99%' AND hts_number_full NOT LIKE '98%' THEN tariff_ordinal_number
            END
        ) AS goods_ordinal_min
    FROM tariff_lines
    WHERE
        entry_summary_number IS NOT NULL -- span: entry_summary_number
    GROUP BY
        entry_summary_number,
        entry_summary_line_number
)
SELECT
    stacks.*,
    rules.maximum AS row_count_max,
    ordinals_sum IS NULL
    OR row_count > 40
    OR ordinals_sum <> (1 << (row_count + 1)) - 2
    OR additional_values > 0
    OR coalesce(additional_ordinal_max > goods_ordinal_min, FALSE)
    OR rules.maximum IS NULL
    OR row_count > rules.maximum AS kept
FROM stacks
LEFT JOIN meta.rules_hts_per_line AS rules
    ON stacks.entry_date >= rules.from_date
    AND (rules.until_date IS NULL OR stacks.entry_date < rules.until_date)
