// @ts-check

/**
 * Base address of the API, without a slash at its end. Empty: the service that serves this page.
 * When another server serves these files, name the API here ("https://images.example.org") and list this page's
 * origin in the service's `cors_origins`.
 */
export const API_BASE = "";

/**
 * Several services to choose from, in place of API_BASE: `[{ name: "Archive", base: "https://archive.example.org" }]`.
 * The first one is used until another is chosen, and each has keys of its own.
 * @type {{name: string, base: string}[]}
 */
export const SERVERS = [];
