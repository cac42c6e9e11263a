-- What do the three reports say of each entry, as far as deadlines and refunds are judged by it?
-- Importers and brokers ask what expires next; ES-001 goes before ES-003, ES-003 before ES-002.
WITH headers AS (
    SELECT
        entry_summary_number,
        max(_delivery_id) AS delivery_id,
        max(entry_date) AS entry_date,
        max(entry_summary_date) AS entry_summary_date,
        max(importation_date) AS importation_date,
        max(liquidation_date) AS liquidation_date,
        max(reconciliation_fta_due_date) AS reconciliation_fta_due_date,
        max(reconciliation_other_due_date) AS reconciliation_other_due_date,
        max(importer_number) AS importer_number,
        max(entry_type_code) AS entry_type_code,
        max(liquidation_status) AS liquidation_status,
        max(reconciliation_indicator) AS reconciliation_indicator,
        max(nafta_reconciliation_indicator) AS nafta_reconciliation_indicator,
        max(reconciliation_fta_entry_summary_number) AS reconciliation_fta_entry_summary_number,
        max(reconciliation_other_entry_summary_number) AS reconciliation_other_entry_summary_number,
        max(protest_number) AS protest_number,
        max(protest_status) AS protest_status,
        max(greatest(total_add_amount, total_cvd_amount)) AS antidumping,
        max(total_duty_amount) AS duty
    FROM entry_summaries
    GROUP BY
        entry_summary_number
),
lines AS (
    SELECT
        entry_summary_number,
        max(_delivery_id) AS delivery_id,
        max(entry_date) AS entry_date,
        max(entry_summary_date) AS entry_summary_date,
        max(importation_date) AS importation_date,
        max(liquidation_date) AS liquidation_date,
        max(reconciliation_fta_due_date) AS reconciliation_fta_due_date,
        max(reconciliation_other_due_date) AS reconciliation_other_due_date,
        max(importer_number) AS importer_number,
        max(entry_type_code) AS entry_type_code,
        max(liquidation_status) AS liquidation_status,
        max(reconciliation_indicator) AS reconciliation_indicator,
        max(nafta_reconciliation_indicator) AS nafta_reconciliation_indicator,
        max(reconciliation_fta_entry_summary_number) AS reconciliation_fta_entry_summary_number,
        max(reconciliation_other_entry_summary_number) AS reconciliation_other_entry_summary_number,
        sum(line_duty_amount) AS duty
    FROM entry_lines
    GROUP BY
        entry_summary_number
),
tariffs AS (
    SELECT
        entry_summary_number,
        max(_delivery_id) AS delivery_id,
        max(entry_date) AS entry_date,
        max(entry_summary_date) AS entry_summary_date,
        max(importation_date) AS importation_date,
        max(liquidation_date) AS liquidation_date,
        max(reconciliation_fta_due_date) AS reconciliation_fta_due_date,
        max(reconciliation_other_due_date) AS reconciliation_other_due_date,
        max(importer_number) AS importer_number,
        max(entry_type_code) AS entry_type_code,
        max(liquidation_status) AS liquidation_status,
        max(reconciliation_indicator) AS reconciliation_indicator,
        max(nafta_reconciliation_indicator) AS nafta_reconciliation_indicator,
        max(reconciliation_fta_entry_summary_number) AS reconciliation_fta_entry_summary_number,
        max(reconciliation_other_entry_summary_number) AS reconciliation_other_entry_summary_number,
        max(protest_number) AS protest_number,
        max(protest_status) AS protest_status,
        sum(line_tariff_duty_amount) AS duty
    FROM tariff_lines
    GROUP BY
        entry_summary_number
),
ieepa AS (
    {ieepa_paid}
)
SELECT
    coalesce(headers.entry_summary_number, tariffs.entry_summary_number, lines.entry_summary_number) AS entry_summary_number,
    headers.delivery_id AS es_001_delivery_id,
    lines.delivery_id AS es_002_delivery_id,
    tariffs.delivery_id AS es_003_delivery_id,
    coalesce(headers.entry_date, tariffs.entry_date, lines.entry_date) AS entry_date,
    coalesce(headers.entry_summary_date, tariffs.entry_summary_date, lines.entry_summary_date) AS entry_summary_date,
    coalesce(headers.importation_date, tariffs.importation_date, lines.importation_date) AS importation_date,
    coalesce(headers.liquidation_date, tariffs.liquidation_date, lines.liquidation_date) AS liquidation_date,
    coalesce(headers.reconciliation_fta_due_date, tariffs.reconciliation_fta_due_date, lines.reconciliation_fta_due_date) AS reconciliation_fta_due_date,
    coalesce(headers.reconciliation_other_due_date, tariffs.reconciliation_other_due_date, lines.reconciliation_other_due_date) AS reconciliation_other_due_date,
    coalesce(headers.importer_number, tariffs.importer_number, lines.importer_number) AS importer_number,
    coalesce(headers.entry_type_code, tariffs.entry_type_code, lines.entry_type_code) AS entry_type_code,
    coalesce(headers.liquidation_status, tariffs.liquidation_status, lines.liquidation_status) AS liquidation_status,
    coalesce(headers.reconciliation_indicator, tariffs.reconciliation_indicator, lines.reconciliation_indicator) AS reconciliation_indicator,
    coalesce(headers.nafta_reconciliation_indicator, tariffs.nafta_reconciliation_indicator, lines.nafta_reconciliation_indicator) AS nafta_reconciliation_indicator,
    coalesce(headers.reconciliation_fta_entry_summary_number, tariffs.reconciliation_fta_entry_summary_number, lines.reconciliation_fta_entry_summary_number) AS reconciliation_fta_entry_summary_number,
    coalesce(headers.reconciliation_other_entry_summary_number, tariffs.reconciliation_other_entry_summary_number, lines.reconciliation_other_entry_summary_number) AS reconciliation_other_entry_summary_number,
    coalesce(headers.protest_number, tariffs.protest_number) AS protest_number,
    coalesce(headers.protest_status, tariffs.protest_status) AS protest_status,
    headers.antidumping,
    headers.duty AS es_001_duty,
    lines.duty AS es_002_duty,
    tariffs.duty AS es_003_duty,
    ieepa.paid,
    ieepa.outside,
    ieepa.undated,
    ieepa.ieepa_rows,
    ieepa.ieepa_rows_without_amount
FROM headers
FULL JOIN tariffs
    ON headers.entry_summary_number = tariffs.entry_summary_number
FULL JOIN lines
    ON coalesce(headers.entry_summary_number, tariffs.entry_summary_number) = lines.entry_summary_number
LEFT JOIN ieepa
    ON tariffs.entry_summary_number = ieepa.entry_summary_number
