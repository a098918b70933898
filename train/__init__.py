"""Stage 2: supervised fine-tuning of students and boundary predictors."""
