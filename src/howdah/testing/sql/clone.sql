-- Copies the template, to which nobody is connected; the quoted names stand for those of the run.
create database "howdah_test_clone" template "howdah_test_template" strategy file_copy;
