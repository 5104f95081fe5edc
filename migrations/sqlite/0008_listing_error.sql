-- Why the listing of a campaign failed. Null: it did not, or it is being continued.
ALTER TABLE campaigns ADD COLUMN listing_error TEXT;
