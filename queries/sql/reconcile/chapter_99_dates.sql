-- Was an additional duty paid on an entry date on which its family was not charged?
-- Broker review asks; by entry date and the first six digits, in meta.rules_families. A row that carries no duty is an exemption and is not looked at.
-- severity: warning
-- rule: meta.rules_families [S]
-- needs: tariff_lines.hts_number_full, tariff_lines.line_tariff_duty_amount, tariff_lines.entry_date
-- evidence: tariff_lines line
WITH families AS (
    SELECT
        prefix,
        min(from_date) AS first_date,
        max(until_date) AS until_date
    FROM meta.rules_families
    GROUP BY
        prefix
),
judged AS (
    SELECT
        paid.entry_summary_number,
        paid.entry_summary_line_number,
        paid.entry_date,
        families.first_date,
        families.until_date,
        CASE
            WHEN paid.entry_date IS NULL THEN 'ES-003 states no entry date'
            WHEN families.prefix IS NULL THEN 'no rule for this family'
        END AS not_judged,
        rules.prefix IS NULL AS uncovered
    FROM tariff_lines AS paid
    LEFT JOIN families
        ON families.prefix = left(paid.hts_number_full, 6)
    LEFT JOIN meta.rules_families AS rules
        ON rules.prefix = left(paid.hts_number_full, 6)
        AND (rules.from_date IS NULL OR paid.entry_date >= rules.from_date)
        AND (rules.until_date IS NULL OR paid.entry_date < rules.until_date)
    WHERE
        paid.hts_number_full LIKE '99%'
        AND paid.line_tariff_duty_amount > 0
        AND paid.entry_summary_number IS NOT NULL
),
told AS (
    SELECT
        *,
        not_judged IS NULL AND uncovered AS is_off
    FROM judged
)
SELECT
    CASE WHEN is_off THEN entry_summary_number END AS entry_summary_number,
    CASE WHEN is_off THEN entry_summary_line_number END AS entry_summary_line_number,
    CASE
        WHEN is_off
            THEN concat(coalesce(CAST(first_date AS VARCHAR), '...'), ' until ', coalesce(CAST(until_date AS VARCHAR), '...'))
    END AS expected,
    CASE WHEN is_off THEN CAST(entry_date AS VARCHAR) END AS actual,
    not_judged,
    count(*) AS unit_count
FROM told
GROUP BY
    1, 2, 3, 4, 5
ORDER BY
    entry_summary_number,
    entry_summary_line_number
