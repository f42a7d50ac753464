-- Creates the template; the quoted name stands for that of the run.
create database "howdah_test_template" template template0;
