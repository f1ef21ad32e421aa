# make mutants N=100 SEED=1      how many of so many mutants the tests kill; an hour and more

.PHONY: mutants
mutants:
	nice python3 tests/mutants/mutants.py --count=$(or $(N),100) --seed=$(or $(SEED),1) $(BUILD)/mut
