-- Whether Howdah's schema is there.
select to_regclass('howdah.migration') is not null;
