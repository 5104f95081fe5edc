INSERT INTO temp.cutoffs (score, quality)
{rows}
