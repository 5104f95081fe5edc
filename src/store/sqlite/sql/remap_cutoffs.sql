-- Of this connection alone; gone when it closes.
CREATE TEMP TABLE IF NOT EXISTS cutoffs (
    score   REAL    NOT NULL,
    quality INTEGER NOT NULL,
    PRIMARY KEY (score, quality)
) STRICT, WITHOUT ROWID
