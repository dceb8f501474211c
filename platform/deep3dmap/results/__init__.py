"""Result store: Parquet tables, content-addressed runs, aggregation and export. Imports neither torch nor ray."""
