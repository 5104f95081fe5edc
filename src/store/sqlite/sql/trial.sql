INSERT INTO galleries (name, created_at_ms)
VALUES ('a trial that is rolled back', 0)
