// The commit of the engines of Prisma 5.4.2, which prisma-client-py and Prisma's command line ask an engine for.
'use strict';
module.exports = 'ac9d7041ed77bcc8a8dbd2ab6616b39013829574';
